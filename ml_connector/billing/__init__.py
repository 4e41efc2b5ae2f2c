"""What Salesforce shows about orders, invoices and payments."""
