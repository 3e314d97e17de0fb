"""A small surveillance world: places, people and cars, ordinary and anomalous events, with their truth."""
