//! Keyward's reverse proxy: configuration, pipelines, control socket
