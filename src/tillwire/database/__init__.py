"""PostgreSQL: connections, named SQL and migrations. ("Store" always means a shop, never this.)"""
