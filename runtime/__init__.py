"""What happens next: decisions, handlers, and effects that wait for the disk. See DESIGN.md."""
