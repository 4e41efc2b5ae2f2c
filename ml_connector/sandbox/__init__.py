"""A Salesforce org and a Business Central company on this computer, strict and seeded."""
