"""Service levels: figures and their history, objectives, alerts and who is told of them."""
