"""Settings as people write them: in headway.toml, in the environment, as arguments. What they come to: `headway.config`."""
