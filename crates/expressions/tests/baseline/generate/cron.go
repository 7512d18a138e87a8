package main

import (
	"time"

	"github.com/robfig/cron/v3"
)

func init() {
	time.Local = time.UTC
	generators = append(generators, generator{"cron", "github.com/robfig/cron/v3", cronCases})
}

type cronCase struct {
	Schedule string   `json:"schedule"`
	Zone     string   `json:"zone"`
	Start    string   `json:"start"`
	Value    []string `json:"value,omitempty"`
	Error    string   `json:"error,omitempty"`
}

// cronCases records the next four moments of each schedule.
func cronCases() []any {
	var out []any
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	for _, c := range cronList {
		start, err := time.Parse(time.RFC3339, c.Start)
		if err != nil {
			panic(err)
		}
		_, err = guarded(func() (any, error) {
			text := c.Schedule
			if c.Zone != "" {
				text = "CRON_TZ=" + c.Zone + " " + text
			}
			schedule, err := parser.Parse(text)
			if err != nil {
				return nil, err
			}
			c.Value = []string{}
			t := start
			for i := 0; i < 4; i++ {
				t = schedule.Next(t)
				if t.IsZero() {
					c.Value = append(c.Value, "never")
					break
				}
				c.Value = append(c.Value, t.UTC().Format(time.RFC3339))
			}
			return nil, nil
		})
		if err != nil {
			c.Error = err.Error()
		}
		out = append(out, c)
	}
	return out
}

const leapDay = "2024-02-28T23:59:30Z"

var cronList = []cronCase{
	{Schedule: "* * * * *", Start: leapDay}, {Schedule: "*/15 * * * *", Start: leapDay}, {Schedule: "5 4 * * *", Start: leapDay}, {Schedule: "5,35 4,16 * * *", Start: leapDay},
	{Schedule: "0 0 1 * *", Start: leapDay}, {Schedule: "0 0 31 * *", Start: leapDay}, {Schedule: "0 0 29 2 *", Start: leapDay}, {Schedule: "0 0 30 2 *", Start: leapDay}, {Schedule: "0 0 * * 0", Start: leapDay},
	{Schedule: "0 0 * * sun", Start: leapDay}, {Schedule: "0 0 * * MON-fri", Start: leapDay}, {Schedule: "0 0 1 jan,JUL *", Start: leapDay}, {Schedule: "0 0 13 * 5", Start: leapDay}, {Schedule: "0 0 */2 * 1", Start: leapDay},
	{Schedule: "0 0 */1 * 1", Start: leapDay}, {Schedule: "0 0 ? * 1", Start: leapDay}, {Schedule: "0 0 1 * ?", Start: leapDay}, {Schedule: "0 0 1-7 * 1", Start: leapDay}, {Schedule: "10-20/5 * * * *", Start: leapDay}, {Schedule: "50/4 * * * *", Start: leapDay},
	{Schedule: "*/7 */5 * * *", Start: leapDay}, {Schedule: "59 23 31 12 *", Start: leapDay}, {Schedule: "0 12 * 2 6", Start: leapDay}, {Schedule: "0 0 * * *", Start: "2024-12-31T23:59:59Z"}, {Schedule: "30 9 * * 1-5", Start: "2024-03-01T09:30:00Z"}, {Schedule: "30 9 * * 1-5", Start: "2024-03-01T09:29:59.999Z"},
	{Schedule: "0 9 * * *", Zone: "Europe/Berlin", Start: "2024-03-30T00:00:00Z"}, {Schedule: "30 2 * * *", Zone: "Europe/Berlin", Start: "2024-03-30T00:00:00Z"}, {Schedule: "30 2 * * *", Zone: "Europe/Berlin", Start: "2024-10-26T00:00:00Z"}, {Schedule: "30 1 * * *", Zone: "America/New_York", Start: "2024-11-03T00:00:00Z"},
	{Schedule: "30 2 * * *", Zone: "America/New_York", Start: "2024-03-10T00:00:00Z"}, {Schedule: "0 * * * *", Zone: "America/New_York", Start: "2024-11-03T04:30:00Z"}, {Schedule: "*/30 1-3 * * *", Zone: "America/New_York", Start: "2024-03-10T05:00:00Z"}, {Schedule: "0 0 * * *", Zone: "America/Sao_Paulo", Start: "2018-11-03T00:00:00Z"}, {Schedule: "30 0 * * *", Zone: "America/Sao_Paulo", Start: "2018-11-03T00:00:00Z"},
	{Schedule: "0 0 1 * *", Zone: "America/Sao_Paulo", Start: "2018-10-15T00:00:00Z"}, {Schedule: "15 2 * * *", Zone: "Australia/Lord_Howe", Start: "2024-10-05T00:00:00Z"}, {Schedule: "15 2 * * *", Zone: "Australia/Lord_Howe", Start: "2024-04-06T00:00:00Z"}, {Schedule: "0 0 * * *", Zone: "Asia/Kolkata", Start: leapDay}, {Schedule: "0 0 * * *", Zone: "Pacific/Apia", Start: "2011-12-28T00:00:00Z"}, {Schedule: "0 0 * * 1", Zone: "Asia/Beirut", Start: "2022-03-20T00:00:00Z"},
	{Schedule: "0 0 27 3 *", Zone: "Asia/Beirut", Start: "2022-03-20T00:00:00Z"}, {Schedule: "0 0 1,,2 * *", Start: leapDay}, {Schedule: " 0  0 1\t* * ", Start: leapDay}, {Schedule: "*-5 * * * *", Start: leapDay}, {Schedule: ", * * * *", Start: leapDay}, {Schedule: "TZ=Asia/Tokyo 0 0 * * *", Start: leapDay}, {Schedule: "+5 * * * *", Start: leapDay}, {Schedule: "05 * * * *", Start: leapDay},
	{Schedule: "", Start: leapDay}, {Schedule: "* * * *", Start: leapDay}, {Schedule: "* * * * * *", Start: leapDay}, {Schedule: "60 * * * *", Start: leapDay}, {Schedule: "* 24 * * *", Start: leapDay}, {Schedule: "* * 0 * *", Start: leapDay}, {Schedule: "* * 32 * *", Start: leapDay}, {Schedule: "* * * 0 *", Start: leapDay}, {Schedule: "* * * 13 *", Start: leapDay}, {Schedule: "* * * * 7", Start: leapDay}, {Schedule: "* * * * sunday", Start: leapDay},
	{Schedule: "5-1 * * * *", Start: leapDay}, {Schedule: "*/0 * * * *", Start: leapDay}, {Schedule: "1/2/3 * * * *", Start: leapDay}, {Schedule: "1-2-3 * * * *", Start: leapDay}, {Schedule: "-1 * * * *", Start: leapDay}, {Schedule: "a * * * *", Start: leapDay}, {Schedule: "1.5 * * * *", Start: leapDay}, {Schedule: "@daily", Start: leapDay}, {Schedule: "@every 5m", Start: leapDay}, {Schedule: "* * L * *", Start: leapDay}, {Schedule: "* * * * 1#2", Start: leapDay}, {Schedule: "* * 15W * *", Start: leapDay}, {Schedule: "*/-1 * * * *", Start: leapDay}, {Schedule: "* * * * *", Zone: "Nowhere/Land", Start: leapDay}, {Schedule: "*/100 * * * *", Start: leapDay},
}
