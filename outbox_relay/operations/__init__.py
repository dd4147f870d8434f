"""What an operator can do, one module each: plain functions over connections."""
