"""Growing: when a cell grows, by which morphisms, and how a search goes on with the larger one."""
