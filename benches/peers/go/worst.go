// The worst single insert while a map grows, as benches/src/map/worst.rs takes it: every insert's least time over the
// rounds, and of these the greatest and two percentiles.
package main

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// worst prints the greatest, the 99.99 % and the 99.9 % of the inserts' times, then each round's greatest, all in
// nanoseconds. Rounds start without garbage; collections that fall into one are its own.
func worst(inserts, rounds uint64) {
	times := make([]int32, inserts)
	var greatest []int64
	for round := range rounds {
		runtime.GC()
		table := make(map[uint64]uint64)
		var most int64
		for number := range inserts {
			key := mix(number)
			start := time.Now()
			table[key] = key
			took := time.Since(start).Nanoseconds()
			most = max(most, took)
			if round == 0 || int32(took) < times[number] {
				times[number] = int32(took)
			}
		}
		greatest = append(greatest, most)
		sink += uint64(len(table))
	}
	slices.Sort(times)
	at := func(millionths uint64) int32 { return times[(inserts*millionths+999_999)/1_000_000-1] }
	fmt.Print(at(1_000_000), at(999_900), at(999_000))
	for _, most := range greatest {
		fmt.Print(" ", most)
	}
	fmt.Println()
}
