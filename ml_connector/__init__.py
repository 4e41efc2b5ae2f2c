"""Connector between Microsoft Dynamics 365 Business Central and Salesforce."""
