-- Budgets of the gateway ask, after a restart, what a tenant or one of its sessions used before.
CREATE INDEX attempts_by_tenant ON attempts (tenant, session, at_ns);
