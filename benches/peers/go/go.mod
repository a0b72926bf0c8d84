module bucketmask/peer

go 1.23
