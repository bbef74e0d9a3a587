"""Running it: metrics, alerts, dashboards, units, backups, upgrades, and the page that says how."""
