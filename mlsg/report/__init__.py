"""What people and programs read of a result: JSON, tables, model cards."""
