"""Sales: the subledger of every transaction, its completeness, and the till's and the store's own totals."""
