"""What must survive a restart: CDRs, bindings, tenants; an embedded SQLite by default."""
