"""The pure core: instants, numbers, periods, the catalogue; no clock, database, network or framework."""
