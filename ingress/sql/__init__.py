"""SQL over the rows of one moment: tables, the database around them, and queries from doors."""
