"""Lists the calls in an ARM image that can end in a panic, by the source line outside `core` that makes them.

    tests/bare-metal/panics.py IMAGE

The image needs line tables. A line here need not be able to panic: the compiler could not show that it can't."""

import collections
import re
import subprocess
import sys

LIBRARY = re.compile(r"/library/(core|alloc)/|/rustc/")
PANIC = re.compile(r"core::(panicking::|option::(expect|unwrap)_failed|result::unwrap_failed|slice::index::\w+_fail"
                   r"|slice::\w*copy\w*fail|str::slice_error_fail|cell::panic)")

image = sys.argv[1]


def lines(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout.splitlines()


# Every call and jump from one function to another, by its target.
calls = collections.defaultdict(list)
names = {}
function = None
for line in lines("arm-none-eabi-objdump", "--disassemble", "--demangle", "--no-show-raw-insn", image):
    if found := re.match(r"([0-9a-f]+) <(.*)>:$", line):
        function = int(found[1], 16)
        names[function] = found[2]
    elif found := re.match(r"\s*([0-9a-f]+):\s+b\S*\s+([0-9a-f]+) <", line):
        calls[int(found[2], 16)].append((function, int(found[1], 16)))


def source(address):
    """The innermost source line at an address that is not the library's own, if there is one."""
    frames = lines("arm-none-eabi-addr2line", "--inlines", "--exe", image, hex(address))
    return next((frame for frame in frames if not LIBRARY.search(frame) and not frame.startswith("?")), None)


# A library function that is not inlined passes the question on to its callers.
found, seen = collections.defaultdict(set), set()
targets = [address for address, name in names.items() if PANIC.match(name)]
while targets:
    target = targets.pop()
    seen.add(target)
    for function, address in calls[target]:
        if function == target or PANIC.match(names[function]):
            continue
        if place := source(address):
            place = re.sub(r".*/registry/src/[^/]*/|.*/(?=ws-proto/|tests/)| \(discriminator.*", "", place)
            found[place.split("/")[0]].add((place, re.sub(r"::h[0-9a-f]{16}$", "", names[target])))
        elif function not in seen:
            targets.append(function)

for crate, places in sorted(found.items()):
    print(f"{crate}: {len(places)}")
    for place, target in sorted(places):
        print(f"  {place} by {target}")
