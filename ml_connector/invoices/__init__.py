"""Draft invoices and their posting."""
