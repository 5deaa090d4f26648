void use_threads(int threads);

void fib_serial(int64_t *results, const int64_t *items, int64_t n);
void fib_dynamic(int64_t *results, const int64_t *items, int64_t n);

void polynomial_serial(double *results, const double *items, int64_t n);
void polynomial_static(double *results, const double *items, int64_t n);

void collatz_serial(int64_t *results, const int64_t *items, int64_t n);
void collatz_static(int64_t *results, const int64_t *items, int64_t n);
void collatz_dynamic(int64_t *results, const int64_t *items, int64_t n);

void collatz_ctz_serial(int64_t *results, const int64_t *items, int64_t n);
void collatz_ctz_static(int64_t *results, const int64_t *items, int64_t n);
void collatz_ctz_dynamic(int64_t *results, const int64_t *items, int64_t n);
