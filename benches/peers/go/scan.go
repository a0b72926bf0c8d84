// One map of pointers that deletes thin out, collected over and over: the side of the command `scan`. Keys, values and
// which keys stay are those of benches/src/scan/heap.rs, to the bit.
package main

import (
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

const (
	keepSeed = 1 << 60
	runs     = 400
	stride   = 167
	exact    = 1<<53 - 1
)

var scanned map[uint64]*uint64

// answerScan does what one line of a scan asks for.
func answerScan(words []string) error {
	numbers := make([]uint64, 2)
	for idx := range numbers {
		if idx+1 < len(words) {
			if _, err := fmt.Sscan(words[idx+1], &numbers[idx]); err != nil {
				return err
			}
		}
	}
	entries, percent := numbers[0], numbers[1]
	switch words[0] {
	case "scan-fill":
		debug.SetGCPercent(-1)
		scanned = make(map[uint64]*uint64)
		for key := range entries {
			value := new(uint64)
			*value = key * 3
			scanned[key] = value
		}
		fmt.Println(len(scanned))
	case "scan-thin":
		keep := keepsUniform
		if words[3] == "clustered" {
			keep = keepsClustered(entries)
		}
		for key := range scanned {
			if !keep(key, percent) {
				delete(scanned, key)
			}
		}
		fmt.Println(len(scanned))
	case "scan-sum":
		var sum uint64
		for key, value := range scanned {
			sum += key + *value
		}
		fmt.Println(len(scanned), sum&exact)
	case "scan-first":
		time, cpu := taken(runtime.GC)
		fmt.Println(time, cpu)
	case "scan-collect":
		time, cpu := meanTaken(runtime.GC)
		fmt.Println(time, cpu)
	default:
		return fmt.Errorf("no such request: %q", words)
	}
	return nil
}

func keepsUniform(key, percent uint64) bool {
	high, _ := bits.Mul64(mix(key+keepSeed), 100)
	return high < percent
}

func keepsClustered(entries uint64) func(key, percent uint64) bool {
	return func(key, percent uint64) bool {
		return key*runs/entries*stride%runs*100 < runs*percent
	}
}

// taken is what a call takes, and what the process takes meanwhile, in nanoseconds.
func taken(work func()) (wall, cpu float64) {
	start, busy := time.Now(), processTime()
	work()
	return float64(time.Since(start).Nanoseconds()), processTime() - busy
}

// meanTaken is the mean of as many calls as it takes after a first one that warms up.
func meanTaken(work func()) (wall, cpu float64) {
	first, _ := taken(work)
	calls := int(3e6/max(first, 1)) + 1
	wall, cpu = taken(func() {
		for range calls {
			work()
		}
	})
	return wall / float64(calls), cpu / float64(calls)
}

// processTime is the processor time of all threads so far, in nanoseconds.
func processTime() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return float64(usage.Utime.Nano() + usage.Stime.Nano())
}
