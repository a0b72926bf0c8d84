# Hashes, regular expressions, sorting and closures, with a seed of its own.
use strict;
use warnings;

my $seed = 7;
sub next_random { $seed = ($seed * 1103515245 + 12345) & 0x7fffffff; return ($seed >> 16) % $_[0] }

my (%count, %by_length, @kept);
for my $round (1 .. 300_000) {
    my $word = join '', map { chr(97 + next_random(26)) } 0 .. 1 + next_random(6);
    $count{$word}++;
    push @{ $by_length{length $word} }, $word if $round % 3 == 0;
    my $line = "$round:" . ($word x (1 + next_random(5)));
    push @kept, sub { return $line . $_[0] } if $line =~ /(a[^a]+){2}|^\d+7:(..)\2/;
    shift @kept if @kept > 5000;
}
print "$_ $count{$_}\n" for grep { $count{$_} > 20 } sort keys %count;
print "$_: ", scalar @{ $by_length{$_} }, ' ', (sort @{ $by_length{$_} })[0], "\n" for sort { $a <=> $b } keys %by_length;
print $_->('!'), "\n" for @kept[0 .. 50];
