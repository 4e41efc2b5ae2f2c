"""A Salesforce org on this computer: records, rules and the REST surface."""
