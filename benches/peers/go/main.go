// A Go toolchain's map and collector, measured for the commands `map`, `scan` and `gc` of the binary bucketmask, which
// starts this program and owns it. It reads one request a line and answers each with one line of numbers, so that its rounds
// take turns with the others'. Invariant: keys and their order are those of benches/src/map/keys.rs, to the bit.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Side is a map of one type of entries and what can be asked of it.
type Side interface {
	Fill(entries uint64)
	Empty()
	Hit(entries uint64) float64
	Miss(entries uint64) float64
	Insert(entries uint64, reserved bool) float64
	Churn(entries, times uint64) float64
	Iterate() float64
	Bytes(entries uint64) float64
}

var sides = map[string]Side{
	"u64-u64":       &Table[uint64, uint64]{key: mix, value: identity},
	"u64-56B":       &Table[uint64, [7]uint64]{key: mix, value: seven},
	"str16-u64":     &Table[string, uint64]{key: digits, value: identity},
	"u32u32-string": &Table[[2]uint32, string]{key: pair, value: digits},
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if err := answer(strings.Fields(in.Text())); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// answer does what one line asks for: a word, a type where it needs one, and numbers.
func answer(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("an empty request")
	}
	switch words[0] {
	case "version":
		fmt.Println(runtime.Version())
		return nil
	case "keys":
		fmt.Println(digits(1), draw(7, 1_000_003))
		return nil
	case "worst":
		var inserts, rounds uint64
		if _, err := fmt.Sscan(strings.Join(words[1:], " "), &inserts, &rounds); err != nil {
			return err
		}
		worst(inserts, rounds)
		return nil
	case "run":
		return answerRun(words)
	case "peak":
		return peak()
	}
	if strings.HasPrefix(words[0], "scan-") {
		return answerScan(words)
	}
	if len(words) != 4 {
		return fmt.Errorf("%q is not a word, a type and two numbers", words)
	}
	side := sides[words[1]]
	if side == nil {
		return fmt.Errorf("no type %q", words[1])
	}
	var entries, times uint64
	if _, err := fmt.Sscan(words[2]+" "+words[3], &entries, &times); err != nil {
		return err
	}
	fmt.Println(do(side, words[0], entries, times))
	return nil
}

func do(side Side, what string, entries, times uint64) float64 {
	switch what {
	case "fill":
		side.Fill(entries)
	case "empty":
		side.Empty()
	case "hit":
		return side.Hit(entries)
	case "miss":
		return side.Miss(entries)
	case "insert":
		return side.Insert(entries, false)
	case "insert-reserved":
		return side.Insert(entries, true)
	case "churn":
		return side.Churn(entries, times)
	case "iterate":
		return side.Iterate()
	case "bytes":
		return side.Bytes(entries)
	default:
		fmt.Fprintln(os.Stderr, "no such request:", what)
		os.Exit(1)
	}
	return 0
}
