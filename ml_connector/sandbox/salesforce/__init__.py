"""The Salesforce org of the sandbox."""
