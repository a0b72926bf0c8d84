; What a collector has to stand: garbage by recursion, lists that are sorted and overwritten, closures that share a variable.
(define fib (lambda (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))))
(print (fib 13))

(define range (lambda (from to) (if (< from to) (cons from (range (+ from 1) to)) '())))
(define fold (lambda (f start list) (if (null? list) start (fold f (f start (car list)) (cdr list)))))
(define reverse (lambda (list) (fold (lambda (done one) (cons one done)) '() list)))
(print (fold + 0 (reverse (range 0 300))))

(define filter (lambda (keep list)
  (if (null? list) '() (if (keep (car list)) (cons (car list) (filter keep (cdr list))) (filter keep (cdr list))))))
(define append (lambda (one two) (if (null? one) two (cons (car one) (append (cdr one) two)))))
(define sort (lambda (list)
  (if (null? list) '()
    (append (sort (filter (lambda (x) (< x (car list))) (cdr list)))
      (cons (car list) (sort (filter (lambda (x) (if (< x (car list)) '() 1)) (cdr list))))))))
(print (sort '(31 4 15 92 6 53 5 89 79 32 3 84 62 64 33 8)))

; A ring of cells, each pointing to the next, and the last to the first.
(define ring (range 0 50))
(define last (lambda (list) (if (null? (cdr list)) list (last (cdr list)))))
(set-cdr! (last ring) ring)
(define walk (lambda (cell steps sum) (if (= steps 0) sum (walk (cdr cell) (- steps 1) (+ sum (car cell))))))
(print (walk ring 1000 0))

(define counter (lambda (count) (lambda (by) (begin (set! count (+ count by)) count))))
(define one (counter 0))
(define other (counter 100))
(define repeat (lambda (times what) (if (= times 0) '() (begin (what 3) (repeat (- times 1) what)))))
(repeat 500 one)
(repeat 7 other)
(print (cons (one 0) (other 0)))

; Queens that do not threaten one another.
(define safe (lambda (row rows distance)
  (if (null? rows) 1
    (if (= row (car rows)) '()
      (if (= row (+ (car rows) distance)) '()
        (if (= row (- (car rows) distance)) '() (safe row (cdr rows) (+ distance 1))))))))
(define try (lambda (row size rows left)
  (if (= row size) 0
    (+ (if (safe row rows 1) (if (= left 1) 1 (try 0 size (cons row rows) (- left 1))) 0)
       (try (+ row 1) size rows left)))))
(print (try 0 5 '() 5))
'done
