"""Posting: journals from the subledger, and their dispatch to the ERP, exactly once."""
