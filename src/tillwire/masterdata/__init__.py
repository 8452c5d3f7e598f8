"""Master data: what stores, products, tax codes and tenders there are. States: the newest revision counts."""
