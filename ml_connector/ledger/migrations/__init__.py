"""Schema changes of the ledger, run by the code that opens it."""
