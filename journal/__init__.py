"""What survives: decisions as rows, and rows as what a handler saw. See DESIGN.md."""
