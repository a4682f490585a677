//! Secrets at rest, grants, permits, every operation on a secret, the response guard's matcher and the audit trail
