"""What both systems of the sandbox share: clock, wire, traffic, faults, admin, certificates."""
