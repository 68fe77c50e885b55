"""What several tests need: servers, requirements, builders."""
