#!/bin/sh
# dist.sh BUILD DIST: packs what `make dist` built in BUILD into DIST/genrec and a tarball next to it.
set -eu
build=$1 dist=$2
root=$dist/genrec
rm -rf "$root" && mkdir -p "$root/bin" "$root/licences"
cp "$build/release/genrec" "$root/bin/"
cp -r Config "$root/"
cp -r Deploy/systemd Deploy/haproxy Deploy/prometheus Deploy/grafana "$root/"
cp README.md "$root/"
cp Deploy/README.md "$root/Deploy.md"
# Licences of everything linked in: genrec's own if there is one, the packages', and Swift's.
for file in LICENSE* NOTICE*; do [ -f "$file" ] && cp "$file" "$root/licences/"; done
for package in "$build"/checkouts/*/; do
    name=$(basename "$package")
    for file in "$package"LICENSE* "$package"NOTICE*; do
        [ -f "$file" ] && cp "$file" "$root/licences/$name-$(basename "$file")"
    done
done
swift=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")/share/swift/LICENSE.txt
if [ -f "$swift" ]; then cp "$swift" "$root/licences/swift-LICENSE.txt"; fi
version=$("$root/bin/genrec" --version | head -1 | cut -d' ' -f2)
name=genrec-$version-linux-$(uname -m)
tar -C "$dist" --sort=name --owner=0 --group=0 --numeric-owner --transform "s,^genrec,$name," -czf "$dist/$name.tar.gz" genrec
ls -l "$dist/$name.tar.gz"
