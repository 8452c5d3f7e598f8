-- What the console looks up by business date, of all stores together.
CREATE INDEX ON hourly_sales (business_date);
CREATE INDEX ON store_day (business_date);
CREATE INDEX ON till_close (business_date);
CREATE INDEX ON completeness (business_date);
CREATE INDEX ON journal (business_date);
