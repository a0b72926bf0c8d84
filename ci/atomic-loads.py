"""A gdb script that stops at each atomic load of a function and prints where it is, the address it reads and the value it finds.

The loads are found in the disassembly: instructions that read memory and whose lines lead into the standard library's atomics.
Usage: atomic-loads.py PROGRAM FUNCTION ENTRY-CONDITION END: loads of FUNCTION, from a call of it for which the condition holds to the
next call of END. The program must not be position-independent. x86-64, binutils, demangled names.
"""

import os
import re
import subprocess
import sys

WIDTHS = {"BYTE": "unsigned char", "WORD": "unsigned short", "DWORD": "unsigned int", "QWORD": "unsigned long"}
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
OPERAND = re.compile(r"(\w+) PTR (\w\w:)?\[([^\]]+)\](?:\s*# ([0-9a-f]+))?")
NO_READ = ("lea", "nop", "prefetch", "set", "call", "jmp")


def said(*command, given=None):
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout


def functions(program):
    """Address and instructions of each function, by its demangled name."""
    found, name = {}, None
    for line in said("objdump", "-d", "-C", "--no-show-raw-insn", "-M", "intel", program).splitlines():
        head = re.match(r"^([0-9a-f]+) <(.*)>:$", line)
        if head:
            name = head[2]
            found[name] = (int(head[1], 16), [])
        elif name and (told := INSTRUCTION.match(line)):
            found[name][1].append((int(told[1], 16), told[2], told[3]))
    return found


def reads(instruction):
    """The operand that an instruction reads from memory."""
    _, name, operands = instruction
    memory = OPERAND.search(operands)
    if not memory or memory[2] or name.startswith(NO_READ) or memory[1] not in WIDTHS:
        return None
    # A move that has memory first writes it.
    if name.startswith("mov") and operands.startswith(memory[0]):
        return None
    return memory


def places(program, addresses):
    """The chain of inlined calls at each address, innermost first, as function and place."""
    given = "".join(f"{address:#x}\n" for address in addresses)
    chains = []
    lines = iter(said("addr2line", "-a", "-i", "-f", "-C", "-e", program, given=given).splitlines())
    for line in lines:
        if line.startswith("0x"):
            chains.append([])
        else:
            chains[-1].append((line, next(lines).split(" (")[0]))
    return dict(zip(addresses, chains))


def is_atomic(chain):
    return any("sync/atomic" in place and "load" in function for function, place in chain)


def ours(chain):
    """The innermost place in this repository that is no wrapper around atomics."""
    root = os.getcwd() + "/"
    near = [place.removeprefix(root) for _, place in chain if place.startswith(root) or not place.startswith("/")]
    return next((place for place in near if "/sync/" not in place and "rustc" not in place), "?")


def expression(memory):
    if memory[4]:
        return f"0x{memory[4]}"
    return re.sub(r"(?<![0-9a-z])([a-z]\w+)", r"$\1", memory[3])


def main():
    program, wanted, condition, end = sys.argv[1:]
    code = functions(program)

    def named(part):
        return next(at for name, at in code.items() if re.search(re.escape(part) + r"(::h[0-9a-f]{16})?$", name))

    start, instructions = named(wanted)
    found = [(at[0], memory) for at in instructions if (memory := reads(at))]
    chains = places(program, [address for address, _ in found])
    loads = [(address, memory) for address, memory in found if is_atomic(chains[address])]
    if not loads:
        sys.exit(f"{wanted} has no atomic load among {len(found)} instructions that read memory")
    print("set pagination off\nset confirm off\nset language c")
    print(f"tbreak *{start:#x} if {condition}\nrun")
    for address, memory in loads:
        told = f"+{address - start:<#6x} {ours(chains[address]):<34} {memory[1]:<5} [{memory[3]}]"
        value = f"*({WIDTHS[memory[1]]} *)({expression(memory)})"
        print(f"break *{address:#x}\ncommands\nsilent")
        print(f'printf "{told:<76} %#lx  %#lx\\n", (unsigned long)({expression(memory)}), (unsigned long){value}')
        print("continue\nend")
    print(f"tbreak *{named(end)[0]:#x}\ncontinue\nkill")


main()
