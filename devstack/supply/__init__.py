"""What the project is made of: known vulnerabilities and licences of the versions that uv.lock names."""
