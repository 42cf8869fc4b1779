"""What people see: pages, pictures, progress, and text without what must not show."""
