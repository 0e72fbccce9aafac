"""dbt's own things: the project, its profile, macros for exact money and generic tests."""
