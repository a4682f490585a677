//! policy attach-api-key
