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

typedef struct {
    double first, second;
} pair;

double sum_serial(const double *x, int64_t n);
double sum_openmp(const double *x, int64_t n);
double dot_serial(const double *x, const double *y, int64_t n);
double dot_openmp(const double *x, const double *y, int64_t n);
pair mean_var_serial(const double *x, int64_t n);
pair mean_var_openmp(const double *x, int64_t n);
pair minmax_serial(const double *x, int64_t n);
pair minmax_openmp(const double *x, int64_t n);

uint64_t read_one_stream(const uint64_t *x, int64_t n);
uint64_t read_four_streams(const uint64_t *x, int64_t n);
