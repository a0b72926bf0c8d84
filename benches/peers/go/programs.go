// The programs of the command `gc`, as benches/src/gc/programs.rs has them: the same objects, the same sums.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
)

// Tree is a node of two pointers.
type Tree struct {
	left, right *Tree
}

// List is a cell of a linked list.
type List struct {
	next  *List
	value uint64
}

// Node is a node of GCBench.
type Node struct {
	left, right *Node
	i, j        uint64
}

// answerRun runs one program of one size; it answers with time, processor time, objects and a checksum.
func answerRun(words []string) error {
	var size uint64
	if len(words) != 3 {
		return fmt.Errorf("%q is not a program and a size", words)
	}
	if _, err := fmt.Sscan(words[2], &size); err != nil {
		return err
	}
	var count, sum uint64
	var wall, cpu float64
	switch words[1] {
	case "trees-mark":
		debug.SetGCPercent(-1)
		tree := grow(size)
		count = 1<<(size+1) - 1
		wall, cpu = marked()
		sum = tree.check()
	case "list-mark":
		debug.SetGCPercent(-1)
		var list *List
		for value := range size {
			list = &List{list, value}
		}
		count = size
		wall, cpu = marked()
		for cell := list; cell != nil; cell = cell.next {
			sum += cell.value
		}
	case "binary-trees":
		wall, cpu = taken(func() { count, sum = binaryTrees(size) })
	case "gcbench":
		wall, cpu = taken(func() { count, sum = gcBench(size) })
	default:
		return fmt.Errorf("no such program: %q", words)
	}
	fmt.Println(wall, cpu, count, sum&exact)
	return nil
}

// marked is what a collection spends on marking, as the runtime counts it, and all that the process does meanwhile.
func marked() (wall, cpu float64) {
	runtime.GC()
	sample := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(sample)
	before := sample[0].Value.Float64()
	_, cpu = taken(runtime.GC)
	metrics.Read(sample)
	return (sample[0].Value.Float64() - before) * 1e9, cpu
}

func peak() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for _, line := range strings.Split(string(status), "\n") {
		var kib uint64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			fmt.Println(kib * 1024)
			return nil
		}
	}
	return fmt.Errorf("no VmHWM")
}

func grow(depth uint64) *Tree {
	if depth == 0 {
		return &Tree{}
	}
	return &Tree{grow(depth - 1), grow(depth - 1)}
}

func (t *Tree) check() uint64 {
	if t.left == nil {
		return 1
	}
	return 1 + t.left.check() + t.right.check()
}

func binaryTrees(depth uint64) (count, sum uint64) {
	count = grow(depth + 1).check()
	long := grow(depth)
	for d := uint64(4); d <= depth; d += 2 {
		for range uint64(1) << (depth - d + 4) {
			found := grow(d).check()
			count += found
			sum += found * d
		}
	}
	found := long.check()
	return count + found, sum + found
}

func treeSize(depth uint64) uint64 { return 1<<(depth+1) - 1 }

func populate(depth uint64, node *Node) {
	if depth == 0 {
		return
	}
	node.left, node.right = &Node{i: depth}, &Node{j: depth}
	populate(depth-1, node.left)
	populate(depth-1, node.right)
}

func build(depth uint64) *Node {
	if depth == 0 {
		return &Node{}
	}
	return &Node{left: build(depth - 1), right: build(depth - 1), i: depth}
}

func (n *Node) check() uint64 {
	if n == nil {
		return 0
	}
	return 1 + n.i + 2*n.j + n.left.check() + n.right.check()
}

// gcBench is the benchmark of John Ellis, Pete Kovac and Hans Boehm: a large tree and a large array live on while trees of
// all depths come and go, built from the root down and from the leaves up.
func gcBench(depth uint64) (count, sum uint64) {
	sum = build(depth + 2).check()
	long := &Node{}
	populate(depth, long)
	array := make([]float64, 1<<(depth+3))
	for idx := range array {
		array[idx] = 1 / float64(idx+1)
	}
	count = treeSize(depth+2) + treeSize(depth)
	for d := uint64(4); d <= depth; d += 2 {
		times := 2 * treeSize(depth+2) / treeSize(d)
		for range times {
			node := &Node{}
			populate(d, node)
			sum += node.i + node.left.i
		}
		for range times {
			sum += build(d).i
		}
		count += 2 * times * treeSize(d)
	}
	return count, sum + long.check() + uint64(1000*array[999])
}
