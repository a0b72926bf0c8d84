// The entries, made from numbers as benches/src/map/keys.rs makes them.
package main

import "math/bits"

const (
	spread = 0x9e3779b97f4a7c15
	seed   = 0x6275636b6574
	draws  = 1 << 56
	absent = 1 << 40
)

// mix spreads a number over 64 bits, one to one (the finaliser of SplitMix64).
func mix(number uint64) uint64 {
	z := (number + seed) * spread
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// draw is the step-th of a sequence of random numbers below a bound.
func draw(step, below uint64) uint64 {
	high, _ := bits.Mul64(mix(draws+step), below)
	return high
}

func identity(number uint64) uint64 { return number }

func seven(number uint64) [7]uint64 {
	return [7]uint64{number, number, number, number, number, number, number}
}

func digits(number uint64) string {
	var text [16]byte
	z := mix(number)
	for place := range text {
		text[place] = "0123456789abcdef"[z>>(60-4*place)&15]
	}
	return string(text[:])
}

func pair(number uint64) [2]uint32 {
	z := mix(number)
	return [2]uint32{uint32(z >> 32), uint32(z)}
}
