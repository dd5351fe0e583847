"""HTTP and nothing else. See DESIGN.md beside this file."""
