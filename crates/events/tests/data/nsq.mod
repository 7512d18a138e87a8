module servers

go 1.21

require github.com/nsqio/nsq v1.3.0

// As its own module has it, which only counts where that is the main one.
replace github.com/judwhite/go-svc => github.com/mreiferson/go-svc v1.2.2-0.20210815184239-7a96e00010f6
