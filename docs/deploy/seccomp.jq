# Make a seccomp profile for chaser-server's container of an engine's own: all that it forbids stays forbidden, but for the
# seven system calls that bubblewrap and Chromium build their sandboxes with.
#   jq -f docs/deploy/seccomp.jq /usr/share/containers/seccomp.json >chaser-seccomp.json      (Podman's)
["chroot", "clone", "mount", "pivot_root", "sethostname", "umount2", "unshare"] as $sandbox
| .syscalls |= map(.names -= $sandbox | select(.names != []))
| .syscalls += [{names: $sandbox, action: "SCMP_ACT_ALLOW"}]
