"""One real boot: systemd as PID 1 runs the units as `systemd/install.sh` puts them there."""
